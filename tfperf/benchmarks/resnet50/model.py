"""ResNet v1.5, layer by layer as in the MLPerf reference, with its loss and metric.

Source: `retired_benchmarks/resnet-tf2/tensorflow2/resnet_model.py` of mlcommons/training. The "v1.5": where a stage
halves the image, the 3x3 convolution has the stride, not the 1x1 before it (as in He et al. and `keras.applications`).
"""

from __future__ import annotations

import string

import keras

from tfperf.benchmarks.resnet50.options import Options


def build(options: Options) -> keras.Model:
    """The untrained model, from images of `image_size` to class probabilities in float32.

    Layers are named as in the reference, because LARS and weight decay select variables by name.
    """
    images = keras.Input((options.image_size, options.image_size, 3), name="image")
    features = _stem(images, options.width)
    for stage, blocks in enumerate(options.blocks):
        narrow = options.width * 2**stage
        for block in range(blocks):
            stride = 2 if block == 0 and stage > 0 else 1
            features = _bottleneck(
                features, f"{stage + 2}{_letter(block)}", narrow=narrow, stride=stride, project=block == 0
            )
    pooled = keras.layers.GlobalAveragePooling2D(name="reduce_mean")(features)
    logits = keras.layers.Dense(
        options.classes,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        name=f"fc{options.classes}",
    )(pooled)
    probabilities = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model(images, probabilities, name="resnet")


def compile_model(model: keras.Model, optimizer: keras.optimizers.Optimizer, options: Options) -> None:
    """Gives the model its optimizer, cross entropy with smoothed labels, and top-1 accuracy as `accuracy`.

    The loss of weighted examples is their weighted mean, so examples of weight 0 don't count.
    """
    loss = keras.losses.CategoricalCrossentropy(
        label_smoothing=options.label_smoothing, reduction="mean_with_sample_weight"
    )
    accuracy = keras.metrics.CategoricalAccuracy(name="accuracy")
    model.compile(optimizer, loss, weighted_metrics=[accuracy], jit_compile=False)


def _stem(images: keras.KerasTensor, width: int) -> keras.KerasTensor:
    padded = keras.layers.ZeroPadding2D(3, name="conv1_pad")(images)
    features = _convolution(padded, width, kernel=7, stride=2, padding="valid", name="conv1")
    features = _relu(_batch_norm(features, name="bn_conv1"))
    return keras.layers.MaxPooling2D(3, strides=2, padding="same")(features)


def _bottleneck(
    features: keras.KerasTensor, name: str, *, narrow: int, stride: int, project: bool
) -> keras.KerasTensor:
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, which is a strided 1x1 convolution where the shape changes."""
    wide = 4 * narrow
    residual = _relu(_normed_convolution(features, narrow, kernel=1, stride=1, name=f"{name}_branch2a"))
    residual = _relu(_normed_convolution(residual, narrow, kernel=3, stride=stride, name=f"{name}_branch2b"))
    residual = _normed_convolution(residual, wide, kernel=1, stride=1, name=f"{name}_branch2c")
    if project:
        features = _normed_convolution(features, wide, kernel=1, stride=stride, name=f"{name}_branch1")
    return _relu(keras.layers.Add()([residual, features]))


def _normed_convolution(
    features: keras.KerasTensor, filters: int, *, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    features = _convolution(features, filters, kernel=kernel, stride=stride, padding="same", name=f"res{name}")
    return _batch_norm(features, name=f"bn{name}")


def _convolution(
    features: keras.KerasTensor, filters: int, *, kernel: int, stride: int, padding: str, name: str
) -> keras.KerasTensor:
    return keras.layers.Conv2D(
        filters,
        kernel,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer="he_normal",
        data_format="channels_last",
        name=name,
    )(features)


def _batch_norm(features: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(features)


def _relu(features: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Activation("relu")(features)


def _letter(block: int) -> str:
    """a to z as in the reference, then a1 and on, for deeper stages than it has."""
    letters = string.ascii_lowercase
    return f"{letters[block % len(letters)]}{block // len(letters) or ''}"
