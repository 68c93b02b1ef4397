"""A simulated high-pressure beamline that answers like a real one."""
