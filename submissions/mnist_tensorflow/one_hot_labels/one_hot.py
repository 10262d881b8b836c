import tensorflow as tf
from tensorflow.keras import optimizers, datasets

def mnist_dataset():
    (x, y), (x_test, y_test) = datasets.mnist.load_data()
    return (x / 255.0, tf.one_hot(y, depth=10)), (x_test / 255.0, tf.one_hot(y_test, depth=10))


class myModel:
    def __init__(self):
        # 两层网络的参数
        self.W1 = tf.Variable(tf.random.normal([28 * 28, 100], stddev=0.1))
        self.b1 = tf.Variable(tf.zeros([100]))
        self.W2 = tf.Variable(tf.random.normal([100, 10], stddev=0.1))
        self.b2 = tf.Variable(tf.zeros([10]))

    def __call__(self, x):
        x = tf.reshape(x, [-1, 28 * 28])
        h1 = tf.nn.relu(tf.matmul(x, self.W1) + self.b1)
        logits = tf.matmul(h1, self.W2) + self.b2
        return logits

model = myModel()
optimizer = optimizers.Adam()

@tf.function
def compute_loss(logits, labels):
    losses = tf.nn.softmax_cross_entropy_with_logits(logits=logits, labels=labels)
    return tf.reduce_mean(losses)

@tf.function
def compute_accuracy(logits, labels):
    pred = tf.argmax(logits, axis=1)
    return tf.reduce_mean(tf.cast(tf.equal(pred, tf.argmax(labels, axis=1)), tf.float32))

@tf.function
def train_one_step(model, optimizer, x, y):
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = compute_loss(logits, y)
    params = [model.W1, model.b1, model.W2, model.b2]
    grads = tape.gradient(loss, params)
    for g, v in zip(grads, params):
        v.assign_sub(0.01 * g)
    accuracy = compute_accuracy(logits, y)
    return loss, accuracy

@tf.function
def test(model, x, y):
    logits = model(x)
    loss = compute_loss(logits, y)
    accuracy = compute_accuracy(logits, y)
    return loss, accuracy
