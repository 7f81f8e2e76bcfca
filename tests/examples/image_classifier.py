"""A small convnet on 28 x 28 images, as in the introduction of Keras; one line of it is tfperf's.

python image_classifier.py TRAIN_IMAGES.npz
"""

import sys

import keras
import numpy as np

import tfperf

num_classes = 10
input_shape = (28, 28, 1)

# Load the data and scale images to the [0, 1] range.
with np.load(sys.argv[1]) as data:
    x_train, y_train, x_test, y_test = (data[name] for name in ("x_train", "y_train", "x_test", "y_test"))
x_train = np.expand_dims(x_train.astype("float32") / 255, -1)
x_test = np.expand_dims(x_test.astype("float32") / 255, -1)
y_train = keras.utils.to_categorical(y_train, num_classes)
y_test = keras.utils.to_categorical(y_test, num_classes)

model = keras.Sequential(
    [
        keras.Input(shape=input_shape),
        keras.layers.Conv2D(16, kernel_size=(3, 3), activation="relu"),
        keras.layers.MaxPooling2D(pool_size=(2, 2)),
        keras.layers.Conv2D(32, kernel_size=(3, 3), activation="relu"),
        keras.layers.MaxPooling2D(pool_size=(2, 2)),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.25),
        keras.layers.Dense(num_classes, activation="softmax"),
    ]
)
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
model.fit(
    x_train,
    y_train,
    batch_size=128,
    epochs=15,
    validation_data=(x_test, y_test),
    verbose=0,
    callbacks=[tfperf.MLPerfCallback(log_dir="runs/1", monitor="val_accuracy", target=0.80, verbose=1)],
)
