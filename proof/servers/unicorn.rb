# The processes of one master, as many as gunicorn has.
worker_processes 4
