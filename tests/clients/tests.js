// Runs tests, a function by its name, and prints "ok NAME" or "not ok NAME" for each; `tell` makes a text of what was thrown.
"use strict";

module.exports = async function run(tests, tell = (error) => error.stack) {
    let failed = 0;
    for (const [name, test] of Object.entries(tests)) {
        try {
            await test();
            console.log(`ok ${name}`);
        } catch (error) {
            failed++;
            console.log(`not ok ${name}\n${tell(error)}`);
        }
    }
    process.exitCode = failed ? 1 : 0;
};
