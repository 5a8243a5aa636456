// SPDX-License-Identifier: Apache-2.0

#if MUTANTS
    /// A bug of the past, put back: the place in the code where it was is told to make it again.
    ///
    ///     #if MUTANTS
    ///         if Mutant.isActive(name) { electionDeadline = now.advanced(byNanoseconds: patientDelay()) }
    ///     #endif
    ///
    /// Only a build with `MUTANTS` has them, which `make mutants` makes to see that the tests notice each. `name` is
    /// the id of the bug in Tests/History.md, written out.
    public enum Mutant {
        /// What follows `--mutant` in the arguments of the process: one, or none, as long as it runs.
        private static let active: String? = {
            let arguments = CommandLine.arguments
            guard let place = arguments.firstIndex(of: "--mutant"), place + 1 < arguments.count else { return nil }
            return arguments[place + 1]
        }()

        public static func isActive(_ name: StaticString) -> Bool {
            guard let active else { return false }
            return active.utf8.elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        }
    }
#endif
