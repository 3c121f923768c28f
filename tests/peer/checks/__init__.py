"""The checks of a conversation, by theme. suite.py holds the register and what checks share."""
