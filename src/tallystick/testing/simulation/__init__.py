"""Run many nodes in one process under virtual time, with every fault and every turn chosen by a seed."""
