"""Your layers are made with bias=False, so that every kink of the network is at x = 0.

zh: 你的层设了 bias=False，于是网络的所有拐点都在 x = 0。
"""

PART = "myModel3"


class myModel3(nn.Module):
    def __init__(self, input_size, hidden_size, output_size):
        super().__init__()
        self.layer1 = nn.Linear(input_size, hidden_size, bias=False)
        self.relu = nn.ReLU()
        self.layer2 = nn.Linear(hidden_size, output_size, bias=False)

    def forward(self, x):
        h1 = self.layer1(x)
        h1_relu = self.relu(h1)
        return self.layer2(h1_relu)
