"""Both builds of the app are of the same versions, which no tool looks after."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import audio_edge
from audio_edge.config import tomllib

DEMO = Path(__file__).parents[1] / "android_demo"
MAVEN = "{http://maven.apache.org/POM/4.0.0}"


def test_gradle_and_maven_take_the_same_versions() -> None:
    properties = ElementTree.parse(DEMO / "pom.xml").find(f"{MAVEN}properties")
    of_maven = {item.tag.removeprefix(MAVEN): item.text for item in properties}
    catalogue = tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text("utf-8"))
    of_gradle = {name: text for name, text in catalogue["versions"].items() if "gradle" not in name}
    assert len(of_gradle) >= 6
    assert {name: of_maven[f"{name}.version"] for name in of_gradle} == of_gradle


def test_app_has_the_version_of_the_library() -> None:
    for name in (".", "core", "app", "interpreter"):
        pom = (DEMO / name / "pom.xml").read_text("utf-8")
        assert re.search(r"<version>([^<]+)</version>", pom)[1] == audio_edge.__version__, name
    gradle = (DEMO / "app" / "build.gradle.kts").read_text("utf-8")
    assert f'versionName = "{audio_edge.__version__}"' in gradle


def test_both_builds_are_for_the_same_systems() -> None:
    gradle = (DEMO / "app" / "build.gradle.kts").read_text("utf-8")
    maven = (DEMO / "app" / "pom.xml").read_text("utf-8")
    for key, option in (("minSdk", "min-sdk-version"), ("targetSdk", "target-sdk-version")):
        level = re.search(rf"{key} = (\d+)", gradle)[1]
        assert set(re.findall(rf"--{option} (\d+)", maven)) == {level}
    machines = re.search(r"abiFilters \+= listOf\((.*)\)", gradle)[1]
    packed = re.search(r"for abi in (.*);", (DEMO / "apk.sh").read_text("utf-8"))[1]
    assert set(re.findall(r'"([^"]+)"', machines)) == set(packed.split())
