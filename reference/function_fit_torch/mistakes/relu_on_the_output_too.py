"""Your network applies the ReLU to its output as well, so it can give no negative number; sin x is negative half
of the time.

zh: 你的网络在输出上又用了一次 ReLU，所以给不出负数；而 sin x 有一半时间是负的。
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
        return self.relu(self.layer2(h1_relu))
