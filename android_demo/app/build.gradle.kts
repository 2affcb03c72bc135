import org.jetbrains.kotlin.gradle.dsl.JvmTarget

plugins {
    alias(libs.plugins.android.application)
}

android {
    namespace = "audioedge.demo"
    compileSdk = 36

    defaultConfig {
        applicationId = "audioedge.demo"
        minSdk = 26
        targetSdk = 36
        versionCode = 1
        versionName = "0.1.0"
        ndk {
            abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64")
        }
    }

    buildTypes {
        release {
            isMinifyEnabled = true
            proguardFiles(getDefaultProguardFile("proguard-android-optimize.txt"), "rules.pro")
            signingConfig = signingConfigs.getByName("debug") // of a demo
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    packaging {
        jniLibs.useLegacyPackaging = true // compressed in the APK
    }

    androidResources {
        noCompress += "tflite" // mapped into memory
    }
}

// without models of its own the app has those of the tests
if (fileTree("src/main/assets") { include("*.tflite") }.isEmpty) {
    android.sourceSets["main"].assets.srcDir("../../tests/android")
}

kotlin {
    compilerOptions {
        jvmTarget = JvmTarget.JVM_11
    }
}

dependencies {
    implementation(project(":core"))
    implementation(libs.coroutines)
    implementation(libs.tensorflow.lite)
}
