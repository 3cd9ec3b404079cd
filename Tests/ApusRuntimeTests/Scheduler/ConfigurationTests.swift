// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import ApusRuntime

@Suite("Configuration")
struct ConfigurationTests {
    @Test(
        "Settings that are accepted",
        arguments: [
            ["APUS_WORKERS": "1"], ["APUS_WORKERS": "64"],
            ["APUS_DEBUG": ""], ["APUS_DEBUG": "queue=2"], ["APUS_DEBUG": "queue=4096"],
            ["APUS_DEBUG": "guard=install"], ["APUS_DEBUG": "sample=1"], ["APUS_DEBUG": "sample=1000000"],
            ["APUS_DEBUG": "schedtrace=1"], ["APUS_DEBUG": "schedtrace=86400000"],
            ["APUS_DEBUG": "guard=protect,guardmappings=0"],
            ["APUS_DEBUG": "migrate=1,queue=8", "APUS_WORKERS": "3"],
        ])
    func accepted(environment: [String: String]) throws {
        try ChildProgram("starts", environment: environment).run().expectSuccess()
    }

    @Test("Wrong numbers of workers", arguments: ["0", "-1", "1025", "two", "", "1.5", " 2", "99999999999999999999"])
    func wrongWorkers(value: String) throws {
        try ChildProgram("starts", environment: ["APUS_WORKERS": value]).run().expectEnd(
            .killed(signal: 6), errors: "apus: APUS_WORKERS is \"\(value)\"; it must be a number from 1 to 1024\n")
    }

    @Test(
        "Wrong settings",
        arguments: [
            "queue=3", "queue=1", "queue=8192", "queue=", "queue", "guard=magic", "guardmappings=-1", "migrate=0",
            "sample=0", "sample=1000001", "schedtrace=0", "schedtrace=86400001", "schedtrace=", "schedtrace=1s",
            "speed=11", "queue=4,speed=11", "=4",
        ])
    func wrongDebug(value: String) throws {
        try ChildProgram("starts", environment: ["APUS_DEBUG": value]).run().expectEnd(
            .killed(signal: 6), errors: "apus: APUS_DEBUG holds \"")
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
