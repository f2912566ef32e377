"""What goes wrong with photographs, as pure functions of a random generator and a sharp picture.

Pictures are uint8 (height, width, 3) sRGB arrays. The same generator state gives the same result.
Only numpy, Pillow and torch are used. Evaluation protocols live in `restoration/evaluation/protocols.py`.

    pixels   rounding, linear light, resizes          kernels   shake, apertures, Gaussian
    blurs    one kernel, a turning camera, a mask     steps     noise, JPEG, resizes, halos
    first    what the first weights were made with    photo     as wide as real photographs
"""

from restoration.training.degradations.blurs import (
    beyond_white,
    camera_blur,
    convolve_valid,
    object_blur,
    soft_mask,
    uniform_blur,
)
from restoration.training.degradations.first import shake, wear, wear_face
from restoration.training.degradations.kernels import (
    Kernel,
    combine,
    disc_kernel,
    gaussian_kernel,
    polygon_kernel,
    shake_kernel,
    trajectory,
)
from restoration.training.degradations.photo import (
    photo_blur,
    photo_defocus,
    photo_kernel,
    photo_shaken,
    photo_wear,
    photo_wear_face,
)
from restoration.training.degradations.pixels import (
    Picture,
    Values,
    from_light,
    reduce_bicubic,
    resize,
    to_light,
    to_picture,
    to_values,
)
from restoration.training.degradations.steps import (
    chroma_noise,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    rescale_chain,
    sensor_noise,
    sharpen,
    shifted_jpeg,
)

__all__ = [
    "Kernel",
    "Picture",
    "Values",
    "beyond_white",
    "camera_blur",
    "chroma_noise",
    "combine",
    "convolve_valid",
    "disc_kernel",
    "from_light",
    "gaussian_blur",
    "gaussian_kernel",
    "gaussian_noise",
    "jpeg",
    "object_blur",
    "photo_blur",
    "photo_defocus",
    "photo_kernel",
    "photo_shaken",
    "photo_wear",
    "photo_wear_face",
    "polygon_kernel",
    "reduce_bicubic",
    "rescale_chain",
    "resize",
    "sensor_noise",
    "shake",
    "shake_kernel",
    "sharpen",
    "shifted_jpeg",
    "soft_mask",
    "to_light",
    "to_picture",
    "to_values",
    "trajectory",
    "uniform_blur",
    "wear",
    "wear_face",
]
