"""Your ReLU stands after layer2 instead of before it: the network can give no negative number, and below 0 it
stops learning.

zh: 你的 ReLU 放在了 layer2 之后，应当放在它之前：现在网络给不出负数，在小于 0 的地方也学不动。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(input_size, hidden_size)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size)

    def forward(self, x):
        h1 = self.layer1(x)
        h2 = self.layer2(h1)
        return self.relu(h2)
