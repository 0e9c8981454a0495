"""Stage 2: adapters and heads on point videos."""
