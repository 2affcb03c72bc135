package audioedge.demo

import android.content.Context
import android.media.AudioAttributes
import android.media.AudioFocusRequest
import android.media.AudioManager
import audioedge.core.Hold
import audioedge.core.ListenPresenter

/** Asks the other apps for silence while this one hears, and holds listening back while one of them has the sound. */
class Focus(private val context: Context, private val presenter: ListenPresenter) {
    private val manager = context.getSystemService(AudioManager::class.java)
    private val speech = AudioAttributes.Builder().setContentType(AudioAttributes.CONTENT_TYPE_SPEECH).build()
    private val request = AudioFocusRequest.Builder(AudioManager.AUDIOFOCUS_GAIN_TRANSIENT_EXCLUSIVE)
        .setAudioAttributes(speech)
        .setAcceptsDelayedFocusGain(true) // of a phone that rings
        .setOnAudioFocusChangeListener(::changed)
        .build()
    private var asked = false
    private var held = false

    /** To be called whenever the wish to hear may have changed. */
    fun follow(wanted: Boolean) {
        if (wanted == asked) return
        asked = wanted
        if (!wanted) {
            manager.abandonAudioFocusRequest(request)
            hold(false)
            return
        }
        when (manager.requestAudioFocus(request)) {
            AudioManager.AUDIOFOCUS_REQUEST_GRANTED -> hold(false)
            AudioManager.AUDIOFOCUS_REQUEST_DELAYED -> hold(true)
            else -> presenter.stop(context.getString(R.string.no_focus))
        }
    }

    private fun changed(change: Int) {
        if (!asked) return // it was on its way when the sound was given back
        when (change) {
            AudioManager.AUDIOFOCUS_GAIN -> hold(false)
            AudioManager.AUDIOFOCUS_LOSS -> presenter.stop() // for good
            AudioManager.AUDIOFOCUS_LOSS_TRANSIENT -> hold(true)
        }
    }

    private fun hold(hold: Boolean) {
        if (hold == held) return
        held = hold
        if (hold) presenter.pause(Hold.FOCUS) else presenter.resume(Hold.FOCUS)
    }
}
