"""What does KFAC miss? (P20-4)"""
