"""The embedded server's parts: what answers a request, whatever it arrived by. It serves any SavedModel."""
