"""There is no ReLU between your two layers: layer2 is handed h1 instead of h1_relu (or there is no ReLU at all).
Two linear layers in a row are one linear layer, so all that your network can become is a straight line.

zh: 你的两个线性层之间没有 ReLU：交给 layer2 的是 h1，而不是 h1_relu（或者根本没有 ReLU）。
两个线性层直接相连还是一个线性层，所以你的网络最多只能是一条直线。
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
        h1_relu = self.relu(h1)
        return self.layer2(h1)
