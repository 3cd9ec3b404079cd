#if os(Linux)
import ApusNet
import ApusRuntime
import CApus
import Testing
import Glibc
@Suite struct ReproTests {
    @Test func repro() async {
        await #expect(processExitsWith: .success) {
          for round in 0..<200 {
            let listener = try TCPListener(SocketAddress(.loopbackIPv4, port: 0))
            let clients = try (0..<3).map { _ in try TCPConnection(to: listener.localAddress) }
            var fillers = System.exhaustDescriptors()
            let onGoroutine = go {
                failure { () throws(NetError) in try listener.accept(timeout: .milliseconds(3)) }?.code
            }
            _ = onGoroutine.join()
            let accepting = clients.map { _ in go { () throws(NetError) in let c = try listener.accept(); print("got", c.remoteAddress); return c } }
            for _ in 0..<20 { Goroutine.yield() }
            let before = System.openDescriptors().count
            fillers.removeLast(3)
            alarm(5)
            _ = unsafe signal(SIGALRM) { _ in print("ALARM") ; }
            let l = listener
            var th = pthread_t()
            let g = go {
              for _ in 0..<400 {
                if l.descriptor.snapshot.isClosed { return }
                apus_thread_sleep(10_000_000)
              }
              let s = l.descriptor.snapshot
              print("STUCK", round, "r", s.isLocked(.read), "w", s.isLocked(.write), "refs", s.references, "rw", s.waiters(.read), "ww", s.waiters(.write), before, System.openDescriptors().count, fillers.count)
              exit(7)
            }
            _ = th
            let peers = try accepting.map { try $0.join().remoteAddress }
            listener.close()
            #expect(Set(peers) == Set(clients.map(\.localAddress)))
            g.join()
          }
        }
    }
}
#endif
