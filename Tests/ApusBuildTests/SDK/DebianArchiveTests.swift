// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

@Suite("DebianArchive")
struct DebianArchiveTests {
    private static let debian = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"

    @Test("Mirrors are those of the release itself")
    func mirrors() {
        let targets = """
            bookworm main http://one/debian/
            bookworm contrib http://other/debian/
            bookworm main http://one/debian/
            bookworm-updates main http://updates/debian/
            bookworm-security main http://security/debian-security/
            sid main http://two/debian
            nodistro main https://somebody/node
            cloud-bookworm main https://somebody/apt
            """
        #expect(
            DebianArchive.mirrors(inTargets: targets, osRelease: Self.debian) == [
                "http://one/debian/", "http://two/debian",
            ])
        #expect(DebianArchive.mirrors(inTargets: "", osRelease: Self.debian).isEmpty)
        let ubuntu = "ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=bookworm\n"
        #expect(DebianArchive.mirrors(inTargets: targets, osRelease: ubuntu).isEmpty)
    }

    @Test("What a simulation would install is read with versions and processors")
    func simulation() {
        let output = """
            Reading package lists...
            Inst gcc-16-base (16.2.0-4 Debian:unstable [arm64])
            Inst libgcc-s1 (16.2.0-4 Debian:unstable [arm64]) []
            Inst zlib1g:amd64 (1:1.3.dfsg-4 Debian:unstable [amd64]) [libc6:amd64 ]
            Inst tzdata (2026f-1 Debian:unstable [all])
            Inst libswiftlang (6.2.3-1+b1 Debian:unstable, Debian:testing [arm64])
            Conf gcc-16-base (16.2.0-4 Debian:unstable [arm64])
            """
        #expect(
            DebianArchive.packages(inSimulation: output) == [
                DebianPackage(name: "gcc-16-base", version: "16.2.0-4", architecture: "arm64"),
                DebianPackage(name: "libgcc-s1", version: "16.2.0-4", architecture: "arm64"),
                DebianPackage(name: "zlib1g", version: "1:1.3.dfsg-4", architecture: "amd64"),
                DebianPackage(name: "tzdata", version: "2026f-1", architecture: "all"),
                DebianPackage(name: "libswiftlang", version: "6.2.3-1+b1", architecture: "arm64"),
            ])
    }

    @Test("apt is given folders of its own, Debian's keys, and the machine's other settings")
    func configuration() {
        let text = DebianArchive.configuration(folder: "/f", architectures: ["arm64", "amd64"])
        #expect(text.contains("Dir::State \"/f/state\";"))
        #expect(text.contains("APT::Architectures { \"arm64\"; \"amd64\"; };"))
        // Whoever cleans up after the system's own downloads is not called.
        #expect(text.contains("#clear APT::Update::Post-Invoke;"))
        #expect(!text.contains("Acquire::http"))
        let sources = DebianArchive.sources(mirrors: ["http://a", "http://b"], suite: "sid", architectures: ["arm64"])
        #expect(sources.contains("URIs: http://a http://b\nSuites: sid\n"))
        #expect(sources.contains("Signed-By: \(DebianArchive.keyring)\n"))
    }

    @Test(
        "The target gets libraries and headers, the compiler what it loads",
        arguments: [
            ("swiftlang", true, true), ("libc6", true, true), ("libc6-dev", true, false),
            ("linux-libc-dev", true, false),
            ("libstdc++-16-dev", true, false), ("libgcc-16-dev", true, false), ("libstdc++6", true, true),
            ("libxml2-16", false, true), ("patchelf", false, true), ("zlib1g", true, true),
            ("libpython3.14", false, false),
            ("g++-16", false, false), ("binutils", false, false), ("libasan8", false, false), ("tzdata", false, false),
        ])
    func selection(name: String, isInSysroot: Bool, isInToolchain: Bool) {
        #expect(DebianSource.isInSysroot(name) == isInSysroot)
        #expect(DebianSource.isInToolchain(name) == isInToolchain)
    }

    @Test("The newest version among a C library's symbols is its floor")
    func glibcVersion() {
        let text = "\0GLIBC_2.17\0GLIBC_2.4\0GLIBC_PRIVATE\0GLIBC_2.38\0GLIBC_2.x\0GLIBC_2.9"
        #expect(GlibcVersion.newest(in: Array(text.utf8)) == "2.38")
        #expect(GlibcVersion.newest(in: Array("GLIBC_PRIVATE".utf8)) == nil)
        #expect(GlibcVersion.newest(in: []) == nil)
    }
}
