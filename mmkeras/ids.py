"""What ids say: a text is a right answer to a picture, and the picture to it, where its id is one of the picture's.

A text has one id. A picture has several where some of its captions are those of other pictures too: a row of (P, S),
filled up with `NO_ID`. Who answers whom is then no partition: a caption may be right for two pictures, whose other
captions are right for one of them only.
"""

NO_ID = -1
