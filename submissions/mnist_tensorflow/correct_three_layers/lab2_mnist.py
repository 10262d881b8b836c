import tensorflow as tf

epochs = 500000
lr = 0.01


class myModel(object):
    def __init__(self):
        init = tf.initializers.GlorotUniform()
        self.W1 = tf.Variable(init([784, 120]), dtype=tf.float32)
        self.b1 = tf.Variable(tf.constant(0.1, shape=[120]))
        self.W2 = tf.Variable(init([120, 60]), dtype=tf.float32)
        self.b2 = tf.Variable(tf.constant(0.1, shape=[60]))
        self.W3 = tf.Variable(init([60, 10]), dtype=tf.float32)
        self.b3 = tf.Variable(tf.constant(0.1, shape=[10]))
        self.all_variables = [self.W1, self.b1, self.W2, self.b2, self.W3, self.b3]

    def __call__(self, x):
        h = tf.keras.layers.Flatten()(x)
        h = tf.nn.relu(tf.add(tf.matmul(h, self.W1), self.b1))
        h = tf.nn.tanh(tf.add(tf.matmul(h, self.W2), self.b2))
        return tf.add(tf.matmul(h, self.W3), self.b3)


def compute_loss(logits, labels):
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def compute_accuracy(logits, labels):
    hits = tf.equal(tf.argmax(tf.nn.softmax(logits), 1, output_type=tf.int64), labels)
    return tf.math.count_nonzero(hits, dtype=tf.float32) / tf.cast(tf.size(labels), tf.float32)


def train_one_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        loss = compute_loss(model(x), y)
    for v, grad in zip(model.all_variables, tape.gradient(loss, model.all_variables)):
        v.assign(v - lr * grad)
    logits = model(x)
    return compute_loss(logits, y), compute_accuracy(logits, y)


def test(model, x, y):
    logits = model(x)
    return compute_loss(logits, y), compute_accuracy(logits, y)


(x_train, y_train), (x_test, y_test) = tf.keras.datasets.mnist.load_data()
model = myModel()
for epoch in range(epochs):
    loss, acc = train_one_step(model, None, tf.constant(x_train / 255.0, tf.float32), tf.constant(y_train, tf.int64))
    if epoch % 1000 == 0:
        print(epoch, loss.numpy(), acc.numpy())
