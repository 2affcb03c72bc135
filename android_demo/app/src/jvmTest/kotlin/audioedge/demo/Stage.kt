package audioedge.demo

import android.graphics.Bitmap
import android.graphics.Canvas
import android.os.Looper
import android.view.View
import android.view.ViewGroup
import android.widget.ListView
import android.widget.TextView
import audioedge.core.ModelRunner
import audioedge.core.TfLite
import audioedge.core.recording
import audioedge.core.samples
import org.junit.Assert.assertTrue
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.shadows.ShadowAudioRecord
import java.io.File
import java.nio.ByteBuffer

/** The app as it is, but for the interpreter, which is the JVM's. */
class StagedDemo : Demo() {
    override fun openRunner(model: ByteBuffer): ModelRunner = TfLite(model)
}

/** A microphone that gives a recording as fast as the app hears it, and silence for ever behind it. */
class StagedMicrophone(name: String) : ShadowAudioRecord.AudioRecordSource {
    private val sound = recording(name).samples()
    private val heardS get() = (RuntimeEnvironment.getApplication() as Demo).presenter.state.value.heardS
    private val before = heardS
    private var place = 0

    override fun readInShortArray(audio: ShortArray, offset: Int, size: Int, isBlocking: Boolean): Int {
        val count = minOf(size, sound.size - place)
        val ahead = place - (heardS - before) * 16000
        Thread.sleep(if (count == 0 || ahead > 8000) 10 else 1) // far behind, sound would be dropped
        if (ahead > 8000) return readInShortArray(audio, offset, size, isBlocking)
        sound.copyInto(audio, offset, place, place + count)
        place += count
        return size
    }
}

/** Lets the app work until something has come about. */
fun until(what: String, happened: () -> Boolean) {
    repeat(600) {
        shadowOf(Looper.getMainLooper()).idle()
        if (happened()) return
        Thread.sleep(50)
    }
    val state = (RuntimeEnvironment.getApplication() as Demo).presenter.state.value
    assertTrue("$what within 30 s; $state", happened())
}

fun MainActivity.text(id: Int) = findViewById<TextView>(id).text.toString()

fun MainActivity.shows(id: Int) = findViewById<View>(id).visibility == View.VISIBLE

fun MainActivity.press(id: Int) = assertTrue(findViewById<View>(id).performClick())

/** The labels of the log, the first heard first. */
fun MainActivity.heard(): List<String> {
    val list = findViewById<ListView>(R.id.log)
    return (0 until list.adapter.count).map { list.adapter.getView(it, null, list) }
        .mapNotNull { it.findViewById<TextView>(R.id.label)?.text?.toString() }.reversed()
}

/** Every view on the screen, the log's lines too. */
fun MainActivity.views(): List<View> {
    fun below(view: View): List<View> =
        listOf(view) + ((view as? ViewGroup)?.let { group -> (0 until group.childCount).flatMap { below(group.getChildAt(it)) } }.orEmpty())
    return below(findViewById(R.id.log)).filter { it.isShown }
}

/** The screen as a picture, in target/screens. */
fun MainActivity.draw(name: String) {
    val view = window.decorView
    val metrics = resources.displayMetrics
    fun exactly(size: Int) = View.MeasureSpec.makeMeasureSpec(size, View.MeasureSpec.EXACTLY)
    view.measure(exactly(metrics.widthPixels), exactly(metrics.heightPixels))
    view.layout(0, 0, metrics.widthPixels, metrics.heightPixels)
    view.jumpDrawablesToCurrentState() // no picture of something half moved
    val bitmap = Bitmap.createBitmap(view.width, view.height, Bitmap.Config.ARGB_8888)
    view.draw(Canvas(bitmap))
    val file = File("target/screens/$name.png").apply { parentFile!!.mkdirs() }
    file.outputStream().use { assertTrue(bitmap.compress(Bitmap.CompressFormat.PNG, 100, it)) }
}
