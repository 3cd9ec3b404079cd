// SPDX-License-Identifier: Apache-2.0
//
// Results as JUnit's XML, which every continuous integration reads: a `testsuite` for each target.

/// The document for `--junit`.
struct JUnitReport {
    let results: [TestTargetResult]

    var text: String {
        let suites = results.map(Self.Suite.init)
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        text += "<testsuites tests=\"\(suites.sum(\.tests))\" failures=\"\(suites.sum(\.failures))\""
        text += " errors=\"\(suites.sum(\.errors))\" skipped=\"\(suites.sum(\.skipped))\""
        text += " time=\"\(TestDuration.seconds(results.reduce(0) { $0 + $1.seconds }, digits: 3))\">\n"
        for suite in suites { text += suite.text }
        return text + "</testsuites>\n"
    }

    /// One target.
    fileprivate struct Suite {
        let result: TestTargetResult
        var cases = ""
        var tests = 0
        var failures = 0
        var errors = 0
        var skipped = 0
        /// What belongs to no test.
        var output = ""

        init(_ result: TestTargetResult) {
            self.result = result
            var said: [String: (notes: [String], output: String)] = [:]
            var notes: [String] = []
            for record in result.records {
                switch record.event {
                case .started(let test): said[test] = ([], "")
                case .note(let test?, let text): said[test, default: ([], "")].notes.append(text)
                case .output(let test?, let text):
                    said[test, default: ([], "")].output += TestTextReport.wholeLine(text)
                case .note(nil, let text): notes.append(text)
                case .output(nil, let text): output += TestTextReport.wholeLine(text)
                case .measured: break
                case .ended(let test, let outcome, let seconds):
                    let (notes, output) = said.removeValue(forKey: test) ?? ([], "")
                    add(test, outcome, seconds, notes, output)
                }
            }
            if result.ending == .failed, !notes.isEmpty || failures == 0 {
                // The run as a whole: a time that was up, a crash.
                tests += 1
                errors += 1
                let text = notes.joined(separator: "\n")
                cases += "    <testcase classname=\"\(escaped(result.target))\" name=\"(process)\" time=\"0.000\">\n"
                cases +=
                    "      <error message=\"\(escaped(firstLine(text)))\">\(escaped(text))</error>\n    </testcase>\n"
            }
        }

        private mutating func add(
            _ test: String, _ outcome: TestOutcome, _ seconds: Double, _ notes: [String], _ output: String
        ) {
            tests += 1
            let levels = SwiftTestingID.split(test[...])
            let owner = ([result.target] + levels.dropLast()).joined(separator: ".")
            cases += "    <testcase classname=\"\(escaped(owner))\" name=\"\(escaped(levels.last ?? test))\""
            cases += " time=\"\(TestDuration.seconds(seconds, digits: 3))\">\n"
            let text = notes.joined(separator: "\n")
            switch outcome {
            case .passed: break
            case .failed:
                failures += 1
                cases += "      <failure message=\"\(escaped(firstLine(text)))\">\(escaped(text))</failure>\n"
            case .skipped:
                skipped += 1
                cases += "      <skipped message=\"\(escaped(firstLine(text)))\"/>\n"
            }
            if !output.isEmpty { cases += "      <system-out>\(escaped(output))</system-out>\n" }
            cases += "    </testcase>\n"
        }

        var text: String {
            var text = "  <testsuite name=\"\(escaped(result.target))\" tests=\"\(tests)\" failures=\"\(failures)\""
            text +=
                " errors=\"\(errors)\" skipped=\"\(skipped)\" time=\"\(TestDuration.seconds(result.seconds, digits: 3))\""
            if let first = result.records.first { text += " timestamp=\"\(GoTestEvent.timestamp(first.time))\"" }
            text += ">\n" + cases
            if !output.isEmpty { text += "    <system-out>\(escaped(output))</system-out>\n" }
            return text + "  </testsuite>\n"
        }
    }
}

extension [JUnitReport.Suite] {
    fileprivate func sum(_ value: (Element) -> Int) -> Int { reduce(0) { $0 + value($1) } }
}

private func firstLine(_ text: String) -> String {
    text.split(separator: "\n", maxSplits: 1).first.map(String.init) ?? "failed"
}

/// A text as XML has it. What cannot stand in XML at all, such as the control characters of coloured output, is replaced.
private func escaped(_ text: String) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case "\t", "\n": result.unicodeScalars.append(scalar)
        case "\u{0}"..."\u{1F}", "\u{FFFE}", "\u{FFFF}": result.unicodeScalars.append("\u{FFFD}")
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result
}
