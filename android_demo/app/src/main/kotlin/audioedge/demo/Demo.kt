package audioedge.demo

import android.app.Application
import android.content.res.AssetManager
import android.os.Build
import android.os.Process
import audioedge.core.Device
import audioedge.core.HitFolder
import audioedge.core.Keeper
import audioedge.core.ListenPresenter
import audioedge.core.ModelFile
import audioedge.core.ModelRunner
import kotlinx.coroutines.ExecutorCoroutineDispatcher
import kotlinx.coroutines.asCoroutineDispatcher
import org.tensorflow.lite.TensorFlowLite
import java.nio.ByteBuffer
import java.nio.channels.FileChannel
import java.text.SimpleDateFormat
import java.util.Date
import java.util.Locale
import java.util.concurrent.Executors

/** The app, and what it is made of. It outlives the screen, so that turning the phone ends nothing. */
open class Demo : Application() {
    val presenter by lazy {
        ListenPresenter(
            models = models(assets),
            openSource = ::Microphone,
            openRunner = ::openRunner,
            device = device(),
            audio = thread("audio", Process.THREAD_PRIORITY_URGENT_AUDIO),
            inference = thread("inference", Process.THREAD_PRIORITY_FOREGROUND),
            keep = keeper::keep,
        )
    }

    val keeper by lazy {
        val settings = getSharedPreferences("settings", MODE_PRIVATE)
        Keeper(
            hits = HitFolder(filesDir.resolve("hits")),
            agreed = settings.getBoolean(KEEP, false),
            remember = { settings.edit().putBoolean(KEEP, it).apply() },
            disk = thread("disk", Process.THREAD_PRIORITY_BACKGROUND),
            stamp = { SimpleDateFormat("yyyyMMdd'T'HHmmss", Locale.ROOT).format(Date()) },
        )
    }

    val focus by lazy { Focus(this, presenter) }

    protected open fun openRunner(model: ByteBuffer): ModelRunner = LiteRunner(model)
}

private const val KEEP = "keep" // what was heard, as the user agreed

/** Every model in assets, by name; each is mapped into memory when it is asked for. */
private fun models(assets: AssetManager): List<ModelFile> =
    assets.list("").orEmpty().filter { it.endsWith(".tflite") }.sorted().map { name ->
        ModelFile(name) {
            assets.openFd(name).use { file ->
                file.createInputStream().channel.use {
                    it.map(FileChannel.MapMode.READ_ONLY, file.startOffset, file.declaredLength)
                }
            }
        }
    }

private fun device() = Device(
    cpu = "${Build.MANUFACTURER} ${Build.MODEL}",
    machine = Build.SUPPORTED_ABIS.first(),
    cores = Runtime.getRuntime().availableProcessors(),
    os = "Android ${Build.VERSION.RELEASE}",
    kernel = System.getProperty("os.version").orEmpty(),
    runtime = "tensorflow_lite",
    runtimeVersion = runCatching { TensorFlowLite.runtimeVersion() }.getOrDefault("unknown"), // it is native
)

private fun thread(name: String, priority: Int): ExecutorCoroutineDispatcher =
    Executors.newSingleThreadExecutor { work ->
        Thread({
            Process.setThreadPriority(priority)
            work.run()
        }, name)
    }.asCoroutineDispatcher()
