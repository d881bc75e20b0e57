# Goals that test; included by the top Makefile.
