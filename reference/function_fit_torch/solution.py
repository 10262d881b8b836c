"""Exemplary answer: three functions, a network of two linear layers with a ReLU between them, and its training.

Inputs and targets are columns, (100, 1): nn.Linear treats every row as one sample, and a target of another shape than
the prediction would be broadcast against it inside the loss.
"""

import torch
from torch import nn


def fun1(x):
    """x: any shape. Returns sin x, element by element."""
    return torch.sin(x)


def fun2(x):
    """x: any shape. Returns sin^2 x + x^3 cos x + 4 x + 2, element by element."""
    return torch.sin(x) ** 2 + x**3 * torch.cos(x) + 4 * x + 2


def fun3(x):
    """x: any shape. Returns x^4 - x^3 + x^2 - x + 1, element by element."""
    return x**4 - x**3 + x**2 - x + 1


class myModel3(nn.Module):
    """layer2(relu(layer1(x)))."""

    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        """x: (batch, input_size). Returns (batch, output_size)."""
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)


def train(fun, model, epochs):
    """Trains `model`, in place, to agree with `fun` on 100 points: one step of Adam an epoch, on all of them.

    Returns x_train (100, 1), y_train (100, 1) and the model.
    """
    x_train = torch.linspace(-10, 10, 100).reshape(-1, 1)
    y_train = fun(x_train)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x_train), y_train)
        loss.backward()
        optimizer.step()
    return x_train, y_train, model
