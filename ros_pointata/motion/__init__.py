"""Where the sensor was: the sources of poses."""
