"""What runs outside a function: training, promotion, replay and the local cloud."""
