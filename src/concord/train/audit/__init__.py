"""What an update gives away of the text it was made from, measured at home before it is sent."""
