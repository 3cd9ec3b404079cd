// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusBuild

/// What compilers say about their cache is counted, and nothing else is.
@Suite struct CacheReportTests {
    @Test func remarksOfBothCompilersAreCounted() {
        let report = CacheReport()
        #expect(report.summary == nil)
        let lines = [
            "<unknown>:0: remark: replay output file '<cached-diagnostics>': key 'llvmcas://6c'",
            "<unknown>:0: remark: replay output file '/apus-build/scratch/release/a.build/a.swift.o': key 'llvmcas://6c'",
            "<unknown>:0: remark: cache miss for input file '/apus-build/source/b.swift': key 'llvmcas://58'",
            "remark: compile job cache hit for 'llvmcas://01' => 'llvmcas://0d' [-Rcompile-job-cache-hit]",
            "remark: compile job cache miss for 'llvmcas://b4' [-Rcompile-job-cache-miss]",
        ]
        #expect(
            lines.map(report.take)
                == [.reused, .detail, .done(file: "/apus-build/source/b.swift"), .reused, .done(file: nil)])
        #expect(report.summary == "2 of 4 compile jobs reused")
    }

    @Test func otherLinesAreTheUsers() {
        let report = CacheReport()
        #expect(report.take("a.swift:1:1: remark: something else") == nil)
        #expect(report.take("a.swift:1:1: error: cache miss for input file 'x'") == nil)
        #expect(report.take("[3/4] Compiling a b.swift") == nil)
        #expect(report.summary == nil)
    }
}

@Suite struct ByteCountTests {
    @Test(arguments: [
        (0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (1_234_567, "1.2 MB"), (99_960_000, "100 MB"),
        (999_600_000, "1.0 GB"), (12_000_000_000, "12.0 GB"),
    ])
    func amountsAreShort(bytes: Int64, text: String) {
        #expect(ByteCount.text(bytes) == text)
    }

    @Test(arguments: [
        ("0", 0), ("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("2g", 2_000_000_000), ("7b", 7),
    ])
    func amountsAreRead(text: String, bytes: Int64) {
        #expect(ByteCount.parse(text) == bytes)
    }

    @Test(arguments: ["", "GB", "5 apples", "-1", "5GBs"])
    func otherWordsAreNoAmounts(text: String) {
        #expect(ByteCount.parse(text) == nil)
    }
}
