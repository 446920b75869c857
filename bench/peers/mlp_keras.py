#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
#
# The neural ranker beside Keras (PyPI tensorflow-cpu): the same initial weights, carried over as an
# .npz, the same batches, 1,000 Adam steps; the losses may differ by 1e-5 at most.
#   bench/peers/mlp_keras.py BENCH_MLP     exit 0 within, 1 beyond, 77 when tensorflow is not installed
import subprocess
import sys
import tempfile

STEPS, BATCH, INPUTS, ROWS, LIMIT = 1000, 32, 64, 8192, 1e-5


def main():
    try:
        import os
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
        import numpy as np
        import tensorflow as tf
    except ImportError as error:
        print(f"SKIPPED: {error}; pip install tensorflow-cpu in a virtual environment")
        return 77
    keras = tf.keras
    keras.utils.set_random_seed(7)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    model = keras.Sequential([
        keras.layers.Input((INPUTS,)),
        keras.layers.Dense(128, activation="relu"),
        keras.layers.Dense(64, activation="relu"),
        keras.layers.Dense(1),
    ])
    random = np.random.default_rng(7)
    x = random.normal(size=(ROWS, INPUTS)).astype(np.float32)
    logits = x[:, 0] * x[:, 1] + x[:, 2] - 0.5 * np.abs(x[:, 3])
    y = (random.random(ROWS) < 1 / (1 + np.exp(-2 * logits))).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(folder + "/weights.npz", *model.get_weights())
        np.concatenate([x, y[:, None]], axis=1).tofile(folder + "/data")
        ours = subprocess.run([sys.argv[1], "follow", folder + "/weights.npz", folder + "/data",
                               str(STEPS)], capture_output=True, text=True, check=True)
    ours = [float(line) for line in ours.stdout.split()]
    adam = keras.optimizers.Adam(1e-3)
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(xs, ys):
        with tf.GradientTape() as tape:
            loss = loss_of(ys, model(xs))
        gradients = tape.gradient(loss, model.trainable_variables)
        adam.apply_gradients(zip(gradients, model.trainable_variables))
        return loss

    theirs = []
    for i in range(STEPS):
        at = i * BATCH % ROWS
        theirs.append(float(step(x[at:at + BATCH], y[at:at + BATCH, None])))
    worst = max(abs(a - b) for a, b in zip(ours, theirs))
    print(f"keras {keras.__version__} on tensorflow-cpu {tf.__version__}: {len(ours)} steps, "
          f"first loss {theirs[0]:.6f}, last {theirs[-1]:.6f}, "
          f"largest difference {worst:.2e} (limit {LIMIT:.0e})")
    return 0 if len(ours) == STEPS and worst <= LIMIT else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__ or "usage: mlp_keras.py BENCH_MLP")
    sys.exit(main())
