package audioedge.core

/**
 * Facts that belong to every figure.
 *
 * @property cpu The device's name, such as "Google Pixel 8".
 * @property machine Its instruction set, such as "arm64-v8a".
 * @property os Such as "Android 16".
 * @property kernel The version of its kernel.
 * @property runtime What runs the models, such as "tensorflow_lite", with its [runtimeVersion].
 * @property threads Threads of an interpreter.
 */
data class Device(
    val cpu: String,
    val machine: String,
    val cores: Int,
    val os: String,
    val kernel: String,
    val runtime: String,
    val runtimeVersion: String,
    val threads: Int = 1,
)
