"""Messages in and out: clouds, results, publishers, QoS and the middleware."""
