"""What several test files share; these import no test, and no test another."""
