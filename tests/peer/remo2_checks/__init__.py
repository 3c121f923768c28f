"""Checks of a server that speaks remo/2, for remo2_conversation.py."""
