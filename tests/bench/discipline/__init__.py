"""How well a client holds the time, and how soon it leaves a dead server, by its poll range: real daemons in virtual time."""
