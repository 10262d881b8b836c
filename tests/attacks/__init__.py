"""Attack programs that run in the real sandbox. Each names the row of the attack catalogue it stands for."""
