"""Fitting functions with PyTorch: write three functions, a small network, and its training.

x is a float32 tensor. Shapes are written (batch, features): 100 points on a line are a column, (100, 1).
"""

import torch
from torch import nn


def fun1(x):
    # sin x, element by element.
    raise NotImplementedError


def fun2(x):
    # sin^2 x + x^3 cos x + 4 x + 2, element by element.
    raise NotImplementedError


def fun3(x):
    # x^4 - x^3 + x^2 - x + 1, element by element.
    raise NotImplementedError


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        # Make self.layer1, self.relu and self.layer2 here.
        raise NotImplementedError

    def forward(self, x):
        # x: (batch, input_size). Return (batch, output_size).
        raise NotImplementedError


def train(fun, model, epochs):
    # x_train: 100 points from -10 to 10, as a column (100, 1); y_train = fun(x_train).
    # Adam with step size 1e-2, mean squared error, one step an epoch on all points.
    # Return x_train, y_train, model.
    raise NotImplementedError


if __name__ == "__main__":
    # A look at your own answers. The grader does not run this part.
    for fun in (fun1, fun2, fun3):
        x_train, y_train, model = train(fun, myModel3(1, 100, 1), 400)
        with torch.no_grad():
            error = ((model(x_train) - y_train) ** 2).mean() / y_train.var()
        print(f"{fun.__name__}: mean squared error {error:.3f} of the variance")
