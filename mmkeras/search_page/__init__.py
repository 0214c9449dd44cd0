"""The page that people search with: files of HTML, CSS and JavaScript, and what Python writes in their look."""
