package audioedge.demo

import android.Manifest.permission.RECORD_AUDIO
import android.app.Activity
import android.content.Intent
import android.content.pm.PackageManager.PERMISSION_DENIED
import android.media.AudioManager
import android.media.AudioRecord
import android.net.Uri
import android.os.Looper
import android.provider.Settings
import android.view.View
import android.view.WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
import android.widget.Button
import android.widget.RadioGroup
import android.widget.Switch
import android.widget.TextView
import audioedge.core.Mode
import audioedge.core.golden
import audioedge.core.unzipped
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.Assert.assertEquals
import org.junit.Assert.assertFalse
import org.junit.Assert.assertTrue
import org.junit.Before
import org.junit.Test
import org.junit.runner.RunWith
import org.robolectric.Robolectric
import org.robolectric.RobolectricTestRunner
import org.robolectric.RuntimeEnvironment
import org.robolectric.Shadows.shadowOf
import org.robolectric.android.controller.ActivityController
import org.robolectric.annotation.Config
import org.robolectric.annotation.GraphicsMode
import org.robolectric.shadows.ShadowAudioRecord
import java.io.ByteArrayOutputStream

private const val PHONE = "w411dp-h891dp-xxhdpi"

/** The real screen over the real presenter, with the interpreter of the JVM and a recording for a microphone. */
@RunWith(RobolectricTestRunner::class)
@Config(application = StagedDemo::class, sdk = [34], qualifiers = PHONE)
@GraphicsMode(GraphicsMode.Mode.NATIVE)
class MainActivityTest {
    private val controller: ActivityController<MainActivity> by lazy { Robolectric.buildActivity(MainActivity::class.java).setup() }
    private val activity get() = controller.get()
    private val demo get() = RuntimeEnvironment.getApplication() as Demo
    private val mode get() = demo.presenter.state.value.mode
    private val case = golden("listening.json").jsonObject["cases"]!!.jsonArray.map { it.jsonObject }
        .first { it["model"]!!.jsonPrimitive.content == "model_float.tflite" }
    private val words = case["heard"]!!.jsonArray.map { it.jsonObject["label"]!!.jsonPrimitive.content }

    @Before
    fun recordingInPlaceOfTheMicrophone() {
        val opened = mutableMapOf<AudioRecord, StagedMicrophone>()
        ShadowAudioRecord.setSourceProvider { opened.getOrPut(it) { StagedMicrophone(case["recording"]!!.jsonPrimitive.content) } }
    }

    private fun allow() = shadowOf(demo).grantPermissions(RECORD_AUDIO)

    private fun listen() {
        allow()
        activity.press(R.id.listen)
        until("listening") { mode == Mode.LISTENING }
    }

    private fun hearAll() {
        listen()
        until("all words heard") { activity.heard().size >= words.size }
    }

    /** The screen with all words on it, as a phone with these qualifiers draws it. */
    private fun face(name: String, qualifiers: String) {
        RuntimeEnvironment.setQualifiers(qualifiers)
        controller.recreate()
        until("the words are shown") { activity.heard().size >= words.size }
        activity.draw(name)
    }

    @Test
    fun `shows the words that were said by day and by night and from right to left`() {
        hearAll()
        assertEquals(words, activity.heard())
        assertEquals(words.last(), activity.text(R.id.latest))
        assertTrue(activity.text(R.id.figures), Regex("""Latency \d+\.\d\d ms""").containsMatchIn(activity.text(R.id.figures)))
        face("day", "+notnight")
        face("night", "+night")
        face("right_to_left", "+ar-ldrtl-notnight")
        assertEquals(View.LAYOUT_DIRECTION_RTL, activity.window.decorView.layoutDirection)
    }

    @Test
    fun `whatever can be pressed has a name and is large enough and letters of any size fit`() {
        allow()
        activity.press(R.id.keep)
        hearAll()
        until("all are kept") { demo.keeper.state.value.names.size == words.size }
        val least = 48 * activity.resources.displayMetrics.density - 1
        for (scale in listOf(1f, 2f)) {
            RuntimeEnvironment.setFontScale(scale)
            face("letters_$scale", "+notnight")
            val buttons = activity.views().filterIsInstance<Button>()
            assertTrue(buttons.size >= 9) // and those of the log that are on the screen
            for (view in buttons) {
                assertTrue("$view has no name", view.text.isNotBlank())
                assertTrue("${view.text} is ${view.height} px high", view.height >= least)
            }
            for (view in activity.views().filterIsInstance<TextView>()) {
                val lines = view.layout ?: continue
                assertTrue("${view.text} is cut", lines.height <= view.height)
                assertTrue("${view.text} is cut", (0 until lines.lineCount).all { lines.getEllipsisCount(it) == 0 })
            }
        }
    }

    @Test
    fun `a microphone refused is told and can be allowed in the settings`() {
        activity.press(R.id.listen)
        assertEquals(listOf(RECORD_AUDIO), shadowOf(activity).lastRequestedPermission.requestedPermissions.toList())
        activity.onRequestPermissionsResult(0, arrayOf(RECORD_AUDIO), intArrayOf(PERMISSION_DENIED))
        until("the message") { activity.shows(R.id.settings) }
        assertTrue(activity.text(R.id.message).contains("refused"))
        assertEquals(Mode.IDLE, mode)
        activity.draw("refused")
        activity.press(R.id.settings)
        assertEquals(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, shadowOf(activity).nextStartedActivity.action)
        allow()
        controller.stop().start()
        until("no message") { !activity.shows(R.id.settings) }
    }

    @Test
    fun `another app that takes the sound holds listening back`() {
        listen()
        until("the focus is asked for") { shadowOf(manager()).lastAudioFocusRequest != null }
        val changed = shadowOf(manager()).lastAudioFocusRequest.audioFocusRequest.onAudioFocusChangeListener!!
        changed.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS_TRANSIENT)
        until("paused") { activity.text(R.id.latest) == activity.getString(R.string.paused) }
        changed.onAudioFocusChange(AudioManager.AUDIOFOCUS_GAIN)
        until("listening again") { mode == Mode.LISTENING }
        changed.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS)
        until("stopped") { activity.text(R.id.latest) == activity.getString(R.string.idle) }
    }

    @Test
    fun `where the sound is not to be had the screen says so`() {
        shadowOf(manager()).setNextFocusRequestResponse(AudioManager.AUDIOFOCUS_REQUEST_FAILED)
        allow()
        activity.press(R.id.listen)
        until("the message") { activity.text(R.id.message) == activity.getString(R.string.no_focus) }
        assertEquals(Mode.IDLE, mode)
    }

    @Test
    fun `a call that rings holds listening back until it has ended`() {
        shadowOf(manager()).setNextFocusRequestResponse(AudioManager.AUDIOFOCUS_REQUEST_DELAYED)
        allow()
        activity.press(R.id.listen)
        until("paused") { mode == Mode.PAUSED }
        val changed = shadowOf(manager()).lastAudioFocusRequest.audioFocusRequest.onAudioFocusChangeListener!!
        changed.onAudioFocusChange(AudioManager.AUDIOFOCUS_GAIN)
        until("listening") { mode == Mode.LISTENING }
        activity.press(R.id.listen)
        until("the sound is given back") { shadowOf(manager()).lastAbandonedAudioFocusRequest != null }
        changed.onAudioFocusChange(AudioManager.AUDIOFOCUS_LOSS_TRANSIENT) // it was on its way
        shadowOf(manager()).setNextFocusRequestResponse(AudioManager.AUDIOFOCUS_REQUEST_GRANTED)
        listen()
    }

    @Test
    fun `a microphone that is lost is one sentence`() {
        ShadowAudioRecord.setSourceProvider {
            object : ShadowAudioRecord.AudioRecordSource {
                override fun readInShortArray(audio: ShortArray, offset: Int, size: Int, isBlocking: Boolean) = -6
            }
        }
        allow()
        activity.press(R.id.listen)
        until("the message") { activity.text(R.id.message).startsWith("the microphone was lost (code -6)") }
        assertEquals(Mode.IDLE, mode)
    }

    @Test
    fun `a screen that is left is not listened to and one that turns is`() {
        listen()
        until("the screen stays on") { activity.window.attributes.flags and FLAG_KEEP_SCREEN_ON != 0 }
        controller.pause().stop()
        until("paused") { mode == Mode.PAUSED }
        controller.start().resume()
        until("listening again") { mode == Mode.LISTENING }
        controller.recreate()
        assertEquals(Mode.LISTENING, mode)
        activity.press(R.id.listen)
        until("stopped") { mode == Mode.IDLE && activity.window.attributes.flags and FLAG_KEEP_SCREEN_ON == 0 }
    }

    @Test
    fun `another model is taken while listening`() {
        listen()
        val models = activity.findViewById<RadioGroup>(R.id.models)
        assertEquals(4, models.childCount)
        models.getChildAt(2).performClick()
        until("chosen") { demo.presenter.state.value.chosen == 2 && mode == Mode.LISTENING }
        until("all words heard") { activity.heard().size >= words.size }
        assertEquals(words.toSet(), activity.heard().toSet())
    }

    @Test
    fun `figures of a benchmark can be shared`() {
        controller
        assertFalse(activity.shows(R.id.share))
        activity.press(R.id.benchmark)
        until("the figures") { activity.shows(R.id.share) }
        assertEquals(4, activity.text(R.id.results).lines().size)
        activity.draw("benchmark")
        activity.press(R.id.share)
        val chooser = shadowOf(activity as Activity).nextStartedActivity
        @Suppress("DEPRECATION") // its successor is of API 33
        val json = chooser.getParcelableExtra<Intent>(Intent.EXTRA_INTENT)!!.getStringExtra(Intent.EXTRA_TEXT)!!
        assertEquals(4, Json.parseToJsonElement(json).jsonObject["rows"]!!.jsonArray.size)
    }

    private fun wrongButtons() = activity.views().filterIsInstance<Button>().filter { it.id == R.id.wrong }

    @Test
    fun `what was heard is kept once the user agrees, and can be marked, exported and deleted`() {
        allow()
        controller
        assertFalse(demo.keeper.state.value.on)
        assertFalse(activity.shows(R.id.export))
        activity.press(R.id.keep)
        hearAll()
        until("all are kept") { demo.keeper.state.value.names.size == words.size }
        face("kept", "+notnight")
        assertEquals(activity.getString(R.string.wrong_label, words.last()), wrongButtons().first().contentDescription)
        assertTrue(wrongButtons().first().performClick())
        until("it is marked") { activity.text(R.id.kept) == activity.getString(R.string.kept, words.size, 1) }
        activity.draw("marked")
        assertFalse(wrongButtons().first().isEnabled)
        activity.press(R.id.export)
        val asked = shadowOf(activity as Activity).nextStartedActivityForResult.intent
        assertEquals(Intent.ACTION_CREATE_DOCUMENT to "application/zip", asked.action to asked.type)
        val document = Uri.parse("content://documents/1")
        val zip = ByteArrayOutputStream()
        shadowOf(demo.contentResolver).registerOutputStream(document, zip)
        shadowOf(activity as Activity).receiveResult(asked, Activity.RESULT_OK, Intent().setData(document))
        until("it is exported") { activity.text(R.id.kept).endsWith("exported: ${words.size}") }
        assertEquals(2 * words.size, unzipped(zip.toByteArray()).size)
        controller.recreate()
        until("the switch stays on") { activity.findViewById<Switch>(R.id.keep).isChecked }
        activity.press(R.id.clear)
        until("all are deleted") { !activity.shows(R.id.clear) && wrongButtons().isEmpty() }
        activity.press(R.id.keep)
        assertFalse(demo.getSharedPreferences("settings", 0).getBoolean("keep", true))
    }

    @Test
    fun `an export that the user breaks off or no app takes changes nothing`() {
        allow()
        activity.press(R.id.keep)
        hearAll()
        until("all are kept") { demo.keeper.state.value.names.size == words.size }
        activity.press(R.id.export)
        val asked = shadowOf(activity as Activity).nextStartedActivityForResult.intent
        shadowOf(activity as Activity).receiveResult(asked, Activity.RESULT_CANCELED, null)
        assertEquals(null, demo.keeper.state.value.message)
        shadowOf(demo).checkActivities(true)
        activity.press(R.id.export)
        until("the message") { activity.text(R.id.kept).endsWith(activity.getString(R.string.no_documents)) }
    }

    private fun manager() = demo.getSystemService(AudioManager::class.java)
}
