"""Your forward flattens its output: a batch of n rows should give (n, output_size).

zh: 你的 forward 把输出压成了一维；n 行的一批应当给出 (n, output_size)。
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
        return self.layer2(h1_relu).flatten()
