#!/usr/bin/env bash
# Makes a signed APK of what Maven compiled: apk.sh R8_JAR MODELS_DIR OUT.apk
# Debian's packages aapt, zipalign and apksigner bring the tools; R8 is in bundletool's jar.
set -euo pipefail
r8=$1 models=$2 out=$3
case $(java -version 2>&1 | head -n 1) in
*'"17.'*) ;;
*) echo "error: java must be a JDK 17, whose classes R8 3.3 can read; apt-get install openjdk-17-jdk-headless" >&2 && exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
app=$here/app target=$here/app/target
version=$(sed -n 's/.*<version>\(.*\)<.*/\1/p' "$here/pom.xml" | head -n 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/dex" "$work/apk"

# code; android.jar lacks java.*, which the JDK has, and its one record is more than this R8 can read
jdk=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/ *java.home = //p')
"$jdk/bin/jimage" extract --dir "$work/jdk" --include 'glob:/java.base/java/**,glob:/java.logging/java/**' "$jdk/lib/modules"
(cd "$work/jdk" && for module in *; do (cd "$module" && zip -q -0 -r ../../java.jar java); done)
cp "$target/android.jar" "$work/android.jar"
zip -q -d "$work/android.jar" 'libcore/internal/Java17LanguageFeatures*'
shrink() {
  java -cp "$r8" com.android.tools.r8.R8 --release --lib "$work/android.jar" --lib "$work/java.jar" \
    --pg-conf "$app/rules.pro" --pg-conf "$target/resources.pro" "$@" "$target"/app-"$version".jar "$target"/libraries/*.jar \
    > "$work/r8.log" 2>&1 || { cat "$work/r8.log" >&2; return 1; }
}
shrink --min-api 26 --output "$work/dex"

# the same shrinking to class files, to hear whether what is left still works
cp "$target"/tests/core-*.jar "$work/tests.jar"
zip -q -d "$work/tests.jar" '*Test*' # whose names have spaces
shrink --classfile --pg-conf "$here/shrunk.pro" --output "$work/shrunk.jar" "$work/tests.jar"
(cd "$here" && java -cp "$work/shrunk.jar:$target/host/*" audioedge.core.ShrunkKt)

# native libraries
for abi in arm64-v8a armeabi-v7a x86_64; do
  mkdir -p "$work/apk/lib/$abi"
  cp "$here/interpreter/target/aar/runtime/jni/$abi/libtensorflowlite_jni.so" "$work/apk/lib/$abi"
done
cp "$work"/dex/*.dex "$work/apk"
cp "$target/resources.apk" "$work/apk.zip"
(cd "$work/apk" && zip -q -X -r ../apk.zip .)

# models are not compressed, so that they can be mapped into memory
mkdir "$work/assets"
cp "$models"/*.tflite "$work/assets"
(cd "$work" && zip -q -X -0 apk.zip assets/*.tflite)

zipalign -f -p 4 "$work/apk.zip" "$work/aligned.apk"
# the key that Android Studio signs with, so that either build can be installed over the other
key=$HOME/.android/debug.keystore
mkdir -p "$HOME/.android"
[ -f "$key" ] || keytool -genkeypair -keystore "$key" -storepass android -keypass android -alias androiddebugkey \
  -keyalg RSA -keysize 2048 -validity 10950 -dname "CN=Android Debug,O=Android,C=US" 2> /dev/null
apksigner sign --ks "$key" --ks-pass pass:android --ks-key-alias androiddebugkey --min-sdk-version 26 \
  --v1-signing-enabled false --v2-signing-enabled true --v3-signing-enabled true --out "$work/signed.apk" "$work/aligned.apk"
mv "$work/signed.apk" "$out"
