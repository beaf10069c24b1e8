"""Latent diffusion: text-to-image pipelines, their latents, and what a step of training minimises."""
