// SPDX-License-Identifier: Apache-2.0

import SystemPackage
import Testing

@testable import ApusBuild

/// Waiting for locks.
@Suite struct FileLockTests {
    private let folder = TestFolder()
    private var file: FilePath { folder.path.appending("lock") }

    @Test func waitingEndsWhenNobodyHoldsItAnyMore() async throws {
        var lock = try FileLock.acquire(file, .exclusive)
        #expect(lock != nil)
        let file = file
        let waiter = Task { try await FileLock.wait(file, .exclusive) != nil }
        lock = nil
        #expect(try await waiter.value)
    }

    @Test func waitingEndsWithItsTask() async throws {
        let lock = try FileLock.acquire(file, .exclusive)
        let file = file
        let waiter = Task { try await FileLock.wait(file, .shared) != nil }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        withExtendedLifetime(lock) {}
    }

    @Test func withoutItsFolderThereIsNoLock() async throws {
        #expect(try await FileLock.wait(folder.path.pushing("gone/lock"), .exclusive) == nil)
    }
}
