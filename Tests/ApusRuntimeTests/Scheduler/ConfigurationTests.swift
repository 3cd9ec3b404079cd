// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Configuration")
struct ConfigurationTests {
    @Test(
        "Settings that are accepted",
        arguments: [
            ["APUS_WORKERS": "1"], ["APUS_WORKERS": "64"], ["APUS_WORKERS": " 2 "],
            ["APUS_DEBUG": ""], ["APUS_DEBUG": "queue=2"], ["APUS_DEBUG": "queue=4096"],
            ["APUS_DEBUG": "guard=install"], ["APUS_DEBUG": "sample=1"], ["APUS_DEBUG": "sample=1000000"],
            ["APUS_DEBUG": "schedtrace=1"], ["APUS_DEBUG": "schedtrace=86400000"],
            ["APUS_DEBUG": "guard=protect,guardmappings=0"],
            ["APUS_DEBUG": "migrate=1,queue=8", "APUS_WORKERS": "3"],
            ["APUS_DEBUG": " migrate=1, queue=2\n"], ["APUS_DEBUG": "queue=2,"], ["APUS_DEBUG": " , "],
        ])
    func accepted(environment: [String: String]) throws {
        try ChildProgram("starts", environment: environment).run().expectSuccess()
    }

    @Test("Wrong numbers of workers", arguments: ["0", "-1", "1025", "two", "", "1.5", "1 2", "99999999999999999999"])
    func wrongWorkers(value: String) throws {
        let result = try ChildProgram("starts", environment: ["APUS_WORKERS": value]).run()
        #expect(result.end == .exited(64))
        #expect(result.errors == "apus: APUS_WORKERS is \"\(value)\"; it must be a number from 1 to 1024\n")
    }

    @Test(
        "A wrong setting ends the program with a sentence about that one",
        arguments: [
            ("queue=3", "queue=3", "queue=N, N a power of two from 2 to 4096"),
            ("queue=1", "queue=1", "queue=N, N a power of two from 2 to 4096"),
            ("queue=8192", "queue=8192", "queue=N, N a power of two from 2 to 4096"),
            ("queue=", "queue=", "queue=N, N a power of two from 2 to 4096"),
            ("queue", "queue", "queue=N, N a power of two from 2 to 4096"),
            ("queue = 2", "queue = 2", "queue=N, N a power of two from 2 to 4096"),
            ("guard=magic", "guard=magic", "guard=install or guard=protect"),
            ("guardmappings=-1", "guardmappings=-1", "guardmappings=N, N zero or more"),
            ("migrate=0", "migrate=0", "migrate=N, N one or more"),
            ("readslots=-1", "readslots=-1", "readslots=N, N zero or more"),
            ("rounds=0", "rounds=0", "rounds=N, N one or more"),
            ("sample=0", "sample=0", "sample=N, N from 1 to 1000000"),
            ("sample=1000001", "sample=1000001", "sample=N, N from 1 to 1000000"),
            ("schedtrace=0", "schedtrace=0", "schedtrace=N, N from 1 to 86400000 milliseconds"),
            ("schedtrace", "schedtrace", "schedtrace=N, N from 1 to 86400000 milliseconds"),
            ("schedtrace=1s", "schedtrace=1s", "schedtrace=N, N from 1 to 86400000 milliseconds"),
            ("schedtrace=86400001", "schedtrace=86400001", "schedtrace=N, N from 1 to 86400000 milliseconds"),
            ("standinslots=1025", "standinslots=1025", "standinslots=N, N from 0 to 1024"),
            ("tracelimit=0", "tracelimit=0", "tracelimit=N, N from 1 to 1048576 MiB"),
            ("fences=none", "fences=none", "fences=full"),
            ("races=all", "races=all", "races=threads"),
            ("queue=4, deadlock=on", "deadlock=on", "deadlock=off"),
            ("sigquit=on ,queue=3", "sigquit=on", "sigquit=off or sigquit=take"),
        ])
    func wrongValue(settings: String, wrong: String, form: String) throws {
        let result = try ChildProgram("starts", environment: ["APUS_DEBUG": settings]).run()
        #expect(result.end == .exited(64))
        #expect(result.errors == "apus: APUS_DEBUG holds \"\(wrong)\"; it must be \(form)\n")
    }

    @Test(
        "An unknown setting is answered with the names of all",
        arguments: ["speed=11", "=4", "=", "queues", "Queue=2"])
    func unknownSetting(setting: String) throws {
        let result = try ChildProgram("starts", environment: ["APUS_DEBUG": "queue=4, \(setting)"]).run()
        #expect(result.end == .exited(64))
        #expect(
            result.errors
                == "apus: APUS_DEBUG holds \"\(setting)\", which is not one of its settings: deadlock, fences, guard, "
                + "guardmappings, migrate, queue, races, readslots, rounds, sample, schedtrace, sigquit, "
                + "standinslots, tracelimit\n")
    }

    @Test("Without settings there is a worker for each processor, and no tool of the tests is on")
    func defaults() {
        let configuration = Configuration(processors: 3)
        #expect(configuration.processors == 3)
        #expect(configuration.queueCapacity == 256)
        #expect(configuration.guardKind == nil)
        #expect(configuration.guardMappingLimit == nil)
        #expect(configuration.migrationInterval == nil)
    }
}
