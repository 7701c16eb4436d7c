package io.clipgate.sample

import android.Manifest
import android.app.AlertDialog
import android.content.pm.PackageManager
import android.os.Bundle
import android.view.View
import android.widget.Button
import android.widget.EditText
import android.widget.TextView
import androidx.activity.ComponentActivity
import androidx.activity.result.contract.ActivityResultContracts
import androidx.camera.view.PreviewView
import io.clipgate.ClipgateException
import io.clipgate.Decision
import io.clipgate.LiveAnswer
import io.clipgate.ModelInfo
import kotlin.math.roundToInt

/** One screen: what the camera sees, in one label, or why it is not sure. */
class MainActivity : ComponentActivity() {
    private lateinit var decision: TextView
    private lateinit var details: TextView
    private lateinit var allow: Button
    private lateinit var camera: Camera
    private lateinit var recognizer: Recognizer
    private var names: List<String> = emptyList()

    private val permission = registerForActivityResult(ActivityResultContracts.RequestPermission()) { isGranted ->
        if (isGranted) begin() else explain()
    }

    override fun onCreate(savedInstanceState: Bundle?) {
        super.onCreate(savedInstanceState)
        setContentView(R.layout.main)
        decision = findViewById(R.id.decision)
        details = findViewById(R.id.details)
        allow = findViewById(R.id.allow)
        allow.setOnClickListener { permission.launch(Manifest.permission.CAMERA) }
        findViewById<Button>(R.id.labels).setOnClickListener { editLabels() }
        names = savedInstanceState?.getStringArrayList(NAMES).orEmpty()
        camera = Camera(this, findViewById<PreviewView>(R.id.preview))
        recognizer = Recognizer(this, onAnswer = ::show, onFailure = ::show)
        if (checkSelfPermission(Manifest.permission.CAMERA) == PackageManager.PERMISSION_GRANTED) {
            begin()
        } else {
            permission.launch(Manifest.permission.CAMERA)
        }
    }

    override fun onSaveInstanceState(state: Bundle) {
        super.onSaveInstanceState(state)
        state.putStringArrayList(NAMES, ArrayList(names))
    }

    override fun onDestroy() {
        camera.close()
        recognizer.close()
        super.onDestroy()
    }

    private fun begin() {
        allow.visibility = View.GONE
        decision.setText(R.string.loading)
        details.text = ""
        recognizer.open(names) { live -> camera.start(live) }
    }

    private fun explain() {
        decision.setText(R.string.camera_needed)
        allow.visibility = View.VISIBLE
    }

    private fun show(answer: LiveAnswer, info: ModelInfo) {
        decision.text = when (val shown = answer.decision) {
            is Decision.Accept -> shown.confidence?.let {
                getString(R.string.label_with_confidence, shown.label.name, percent(it))
            } ?: shown.label.name
            is Decision.Abstain -> getString(R.string.not_sure, shown.reason.sentence)
        }
        val text = getString(
            R.string.details,
            answer.tookNanos / 1e6f,
            percent(info.threshold),
            info.id,
            info.provider,
        )
        details.text = if (info.isCalibrated) text else getString(R.string.uncalibrated, text)
    }

    private fun show(failure: ClipgateException) {
        decision.text = getString(R.string.failed, failure.message, failure.code.number)
    }

    private fun editLabels() {
        val editor = EditText(this).apply {
            setHint(R.string.labels_hint)
            setText(names.joinToString("\n"))
        }
        AlertDialog.Builder(this)
            .setTitle(R.string.edit_labels)
            .setView(editor)
            .setNegativeButton(android.R.string.cancel, null)
            .setPositiveButton(android.R.string.ok) { _, _ ->
                names = editor.text.lines().map { it.trim() }.filter { it.isNotEmpty() }
                begin()
            }
            .show()
    }

    private fun percent(share: Float): Int = (share * 100).roundToInt()

    private companion object {
        const val NAMES = "names"
    }
}
