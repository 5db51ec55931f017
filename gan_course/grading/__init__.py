"""The grader of the homework: runs answers in one process, decides in another, counts only positive evidence.

A student's code is never imported into the grader's own process, and nothing here needs torch:
`gan_course.grading.probes` is what a check calls where the answers run, the rest runs outside.
"""
