"""Networks on this computer: latency, memory and, where there is a meter, energy, engine by engine."""
