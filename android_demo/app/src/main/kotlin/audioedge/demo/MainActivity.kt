package audioedge.demo

import android.Manifest.permission.RECORD_AUDIO
import android.app.Activity
import android.content.ActivityNotFoundException
import android.content.Intent
import android.content.pm.PackageManager.PERMISSION_GRANTED
import android.net.Uri
import android.os.Bundle
import android.os.Handler
import android.os.Looper
import android.provider.Settings
import android.view.WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON
import audioedge.core.Hold
import audioedge.core.Mode
import audioedge.core.UiState
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.cancel
import kotlinx.coroutines.launch
import java.util.concurrent.Executor

/** The one screen: shows the presenter's state, and tells it of the user, the permission and the sound of others. */
class MainActivity : Activity() {
    private val demo get() = application as Demo
    private val presenter get() = demo.presenter
    private val keeper get() = demo.keeper
    private lateinit var screen: Screen
    private lateinit var shown: CoroutineScope

    override fun onCreate(saved: Bundle?) {
        super.onCreate(saved)
        val kept = KeptActions(keeper::agree, keeper::report, ::export, keeper::clear)
        screen = Screen(this, Actions(::listen, presenter::stop, presenter::choose, presenter::benchmark, ::share, ::settings), kept)
    }

    override fun onStart() {
        super.onStart()
        val handler = Handler(Looper.getMainLooper())
        shown = CoroutineScope(Executor { handler.post(it) }.asCoroutineDispatcher())
        shown.launch { presenter.state.collect(::show) }
        shown.launch { keeper.state.collect(screen::show) }
        if (allowed()) presenter.permission(true)
        presenter.resume(Hold.SCREEN)
    }

    override fun onStop() {
        shown.cancel()
        if (!isChangingConfigurations) {
            presenter.pause(Hold.SCREEN)
            demo.focus.follow(false)
        }
        super.onStop()
    }

    override fun onRequestPermissionsResult(code: Int, permissions: Array<String>, results: IntArray) {
        if (results.isNotEmpty()) presenter.permission(allowed()) // empty: the question was broken off
    }

    override fun onActivityResult(code: Int, result: Int, data: Intent?) {
        val document = data?.data?.takeIf { result == RESULT_OK } ?: return // the user thought better of it
        val resolver = demo.contentResolver // the screen may turn meanwhile
        keeper.export { checkNotNull(resolver.openOutputStream(document, "wt")) { "no such document" } }
    }

    private fun listen() {
        presenter.start() // hears as soon as it may
        if (!allowed()) requestPermissions(arrayOf(RECORD_AUDIO), 0)
    }

    private fun allowed() = checkSelfPermission(RECORD_AUDIO) == PERMISSION_GRANTED

    private fun show(state: UiState) {
        val hears = state.mode == Mode.LISTENING
        demo.focus.follow(hears || state.mode == Mode.PAUSED)
        if (hears || state.mode == Mode.BENCHMARK) window.addFlags(FLAG_KEEP_SCREEN_ON) else window.clearFlags(FLAG_KEEP_SCREEN_ON)
        screen.show(state)
    }

    private fun share(json: String) {
        val text = Intent(Intent.ACTION_SEND).setType("text/plain").putExtra(Intent.EXTRA_TEXT, json)
        startActivity(Intent.createChooser(text, getString(R.string.share)))
    }

    /** Asks where to: the system's own question, which needs no permission. */
    private fun export() {
        val document = Intent(Intent.ACTION_CREATE_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE)
            .setType("application/zip").putExtra(Intent.EXTRA_TITLE, "audio_edge_hits.zip")
        try {
            startActivityForResult(document, 0)
        } catch (_: ActivityNotFoundException) {
            keeper.tell(getString(R.string.no_documents))
        }
    }

    private fun settings() = startActivity(
        Intent(Settings.ACTION_APPLICATION_DETAILS_SETTINGS, Uri.fromParts("package", packageName, null)),
    )
}
