"""The demo origin: a small community incident-report application, and an ordinary one.

It stands in for the web application a team already has. It knows nothing of the edge in front of it: it counts
what it is asked, counts every SQL statement it runs, and misbehaves when told to.
"""
