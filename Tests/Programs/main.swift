// SPDX-License-Identifier: Apache-2.0
//
// Programs that the tests start as children, because each needs a runtime with settings of its own, or is meant to
// crash:
//
//     APUS_WORKERS=2 APUS_DEBUG=migrate=1 apus-test-programs NAME [COUNT] [seed=N]
//
// A scenario that holds ends with `NAME: ok` and status 0. One that does not says what it saw, with the seed, and aborts.
// Scenario.swift has the frame; each other file the scenarios of one topic.

runScenario(CommandLine.arguments)
